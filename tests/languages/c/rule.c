// Sends requests for /next/ to the new version. A rule in C: nothing of a C library, and no import but the contract's.

#include "steer.h"
#include <stdlib.h>
#include <string.h>

// Strings of one call are forgotten with the next one: a hook is called again only when it has returned.
static _Alignas(8) unsigned char heap[16 * 1024];
static size_t used;

void *realloc(void *block, size_t size) {
    size_t begin = (used + 7) & ~(size_t)7;
    if (size > sizeof heap - begin) abort();
    used = begin + size;
    // Blocks are not grown: no string of the contract comes in pieces.
    if (block) abort();
    return heap + begin;
}

void *malloc(size_t size) { return realloc(NULL, size); }

void free(void *block) { (void)block; }

void abort(void) { __builtin_trap(); }

size_t strlen(const char *text) {
    size_t count = 0;
    while (text[count]) count++;
    return count;
}

static bool begins_with(steer_string_t text, const char *with) {
    size_t count = strlen(with);
    if (text.len < count) return false;
    for (size_t at = 0; at < count; at++)
        if (text.ptr[at] != (unsigned char)with[at]) return false;
    return true;
}

void exports_shunt_rule_on_request_on_request(exports_shunt_rule_on_request_borrow_request_t request,
                                              exports_shunt_rule_on_request_verdict_t *verdict) {
    used = 0;
    steer_string_t path;
    shunt_rule_http_method_request_path(request, &path);
    // What a call lends is given back before it returns; else it is a fault.
    shunt_rule_http_request_drop_borrow(request);
    *verdict = (exports_shunt_rule_on_request_verdict_t){.tag = EXPORTS_SHUNT_RULE_ON_REQUEST_VERDICT_TO};
    verdict->val.to.pool.is_some = true;
    steer_string_set(&verdict->val.to.pool.val, begins_with(path, "/next/") ? "canary" : "primary");
}
