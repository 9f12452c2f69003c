// A service that takes part in global transactions with one resource: its branches for TCC, saga and XA, and two views
// that show what it has.
//
//     POST /try /confirm /cancel       TCC
//     POST /action /compensate         saga
//     POST /xa                         XA, where the database has it: prepare, and then commit or rollback
//     GET  /state                      every row, and whether the amounts still add up
//     GET  /ledger?after=ID&limit=N    what happened to which order, in pages
//     GET  /healthz
//
// A branch's body is {"id": "teapot", "amount": 2}. It answers 200 when it is done, also when it had been done before;
// 409 when there is not enough.
//
// Thread rules: one loop's.
#pragma once

#include <optional>

#include "examples/shop/resource.h"
#include "tandem/http/client.h"
#include "tandem/tx/node.h"
#include "tandem/tx/xa_participant.h"
#include "tandem/web/app.h"

namespace shop {

class Participant {
  public:
    Participant(std::string name, Resource resource, Arguments arguments);

    // Until SIGINT or SIGTERM.
    Task<void> run(std::vector<Row> rows);

  private:
    void add_views();
    Task<web::Response> branch(Movement movement);
    Task<web::Response> xa_branch();
    Task<web::Response> state();
    Task<web::Response> ledger();

    const Resource resource_;
    const Arguments arguments_;
    db::Database database_;
    http::Client client_;
    tx::Node node_;
    std::optional<tx::XaParticipant> xa_;
    web::App app_;
};

}  // namespace shop
