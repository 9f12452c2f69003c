// Status codes of HTTP (RFC 9110 section 15, RFC 6585, RFC 8297 and the IANA registry) and what goes with them.
#pragma once

#include <string_view>

#include "tandem/base/error.h"

namespace tandem::http {

enum class Status : int {
    continue_ = 100,                        // go on and send the body
    switching_protocols = 101,              // the connection speaks another protocol from here on
    processing = 102,                       // WebDAV: still working
    early_hints = 103,                      // fields that the final response will likely carry
    ok = 200,                               // done; the body says what
    created = 201,                          // something new exists; Location says where
    accepted = 202,                         // taken on, not done yet; the body or Location says where to look
    non_authoritative_information = 203,    // a proxy changed the content
    no_content = 204,                       // done; there is nothing to say
    reset_content = 205,                    // done; the form may be cleared
    partial_content = 206,                  // the ranges asked for
    multi_status = 207,                     // WebDAV: several answers in the body
    already_reported = 208,                 // WebDAV: listed before
    im_used = 226,                          // the result of instance manipulations
    multiple_choices = 300,                 // several representations to choose from
    moved_permanently = 301,                // new address for good; POST may become GET
    found = 302,                            // elsewhere for now; POST may become GET
    see_other = 303,                        // GET the answer elsewhere
    not_modified = 304,                     // what the client has is still right
    use_proxy = 305,                        // deprecated
    temporary_redirect = 307,               // elsewhere for now, with the same method
    permanent_redirect = 308,               // new address for good, with the same method
    bad_request = 400,                      // the request breaks the rules of HTTP or of the resource
    unauthorized = 401,                     // say who you are; WWW-Authenticate says how
    payment_required = 402,                 // reserved
    forbidden = 403,                        // understood and refused
    not_found = 404,                        // no such resource
    method_not_allowed = 405,               // known method, not offered here; Allow lists those that are
    not_acceptable = 406,                   // no representation the client would take
    proxy_authentication_required = 407,    // like 401, for the proxy
    request_timeout = 408,                  // the request did not arrive in time; the connection closes
    conflict = 409,                         // the resource's state forbids it; the body says what conflicts
    gone = 410,                             // was here, will not come back
    length_required = 411,                  // Content-Length is needed
    precondition_failed = 412,              // If-Match and its like did not hold
    content_too_large = 413,                // the body exceeds a bound; the connection closes
    uri_too_long = 414,                     // the request line exceeds a bound
    unsupported_media_type = 415,           // not a content type accepted here; Accept-Post, Accept-Patch say which are
    range_not_satisfiable = 416,            // no range overlaps the content; Content-Range gives its length
    expectation_failed = 417,               // an Expect that is not offered
    im_a_teapot = 418,                      // reserved after RFC 2324
    misdirected_request = 421,              // this server does not answer for that authority
    unprocessable_content = 422,            // well formed, but its meaning cannot be processed
    locked = 423,                           // WebDAV: the resource is locked
    failed_dependency = 424,                // WebDAV: something before it failed
    too_early = 425,                        // might be a replay of early data
    upgrade_required = 426,                 // speak the protocol that Upgrade names
    precondition_required = 428,            // an unconditional change is refused; send If-Match
    too_many_requests = 429,                // a rate was exceeded; Retry-After says when to come back
    request_header_fields_too_large = 431,  // the header section exceeds a bound
    unavailable_for_legal_reasons = 451,    // withheld by law
    internal_server_error = 500,            // the server failed; its log says how
    not_implemented = 501,                  // unknown method or transfer coding
    bad_gateway = 502,                      // the server behind this one answered nonsense
    service_unavailable = 503,              // overloaded or closing; Retry-After says when to come back
    gateway_timeout = 504,                  // the server behind this one did not answer in time
    http_version_not_supported = 505,       // not a version spoken here
    variant_also_negotiates = 506,          // negotiation runs in a circle
    insufficient_storage = 507,             // WebDAV: no room to keep it
    loop_detected = 508,                    // WebDAV: endless recursion
    not_extended = 510,                     // obsolete extension framework
    network_authentication_required = 511,  // a captive portal wants its log-in
};

constexpr int to_int(Status status) noexcept {
    return static_cast<int>(status);
}
// "Not Found"; empty for a code that is not in the registry.
std::string_view reason_phrase(Status status) noexcept;

constexpr bool is_informational(Status status) noexcept {
    return to_int(status) / 100 == 1;
}
constexpr bool is_success(Status status) noexcept {
    return to_int(status) / 100 == 2;
}
constexpr bool is_error(Status status) noexcept {
    return to_int(status) >= 400;
}
// 1xx, 204, 205 and 304 never carry content (RFC 9110 section 6.4.1 and 15.3.6).
constexpr bool forbids_content(Status status) noexcept {
    return is_informational(status) || status == Status::no_content || status == Status::reset_content ||
           status == Status::not_modified;
}

// The nearest code of tandem::Error, for errors that travel as a status.
Code code_for(Status status) noexcept;

}  // namespace tandem::http
