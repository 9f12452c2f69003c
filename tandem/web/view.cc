#include "tandem/web/view.h"

#include <boost/json/serialize.hpp>

namespace tandem::web {

Response to_response(std::string html) {
    return Response::html(std::move(html));
}

Response to_response(const boost::json::value& document) {
    return Response::json(boost::json::serialize(document));
}

}  // namespace tandem::web
