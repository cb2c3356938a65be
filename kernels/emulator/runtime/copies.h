// cp.async: checked when it starts; the data arrives only at the wait, so that a missing wait is found.
#pragma once
#include <algorithm>
#include <string.h>

#include "waiting.h"

namespace tinydx {

static void mark_pending(const Copy& copy, bool pending) {
    Region* region = region_of(copy.shared, copy.bytes);
    for (unsigned i = 0; i < copy.bytes; i += region->element) {
        Cell& cell = region->cell_of(copy.shared + i - region->base);
        cell.pending = pending ? 15 : 0;
        if (!pending) cell.write.time = now;  // for other threads it is written now
    }
}

void cp_async(void* shared, const void* global, unsigned bytes, bool valid) {
    Copy copy{(char*)shared, (const char*)global, bytes, valid, false, self->groups, relative(CALLER)};
    if (launch->checked) {
        if (valid) check((char*)global, bytes, READ, CALLER);
        check((char*)shared, bytes, WRITE, CALLER);  // the old content is lost from now on
        Region* region = region_of(copy.shared, bytes);
        if (!region || !region->shared) {
            report_access(OUT_OF_BOUNDS, region, copy.shared, bytes, WRITE, copy.pc);
            stop();
        }
        mark_pending(copy, true);
    }
    self->copies.push_back(copy);
}

void cp_async_commit() { self->groups++; }

void cp_async_wait(unsigned groups_left) {
    auto arrived = [&](const Copy& copy) {
        if (copy.group + groups_left >= self->groups) return false;
        if (copy.valid) memcpy(copy.shared, copy.global, copy.bytes);
        else memset(copy.shared, 0, copy.bytes);
        if (launch->checked) mark_pending(copy, false);
        return true;
    };
    auto& copies = self->copies;
    copies.erase(std::remove_if(copies.begin(), copies.end(), arrived), copies.end());
}

}  // namespace tinydx
