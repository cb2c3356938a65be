// Shadow memory: what is known about each element that a kernel may access. Elements of more than 4 bytes count as several.
//
//      element  ->  Cell: the last write, two reads and two atomics since then, which bytes were never written,
//                         which bytes a cp.async has not delivered yet
//
// Two accesses to a byte race if they come from different threads, one of them writes, not both are atomic, and nothing
// orders them. Time is a counter that increases at every barrier of any thread, so "ordered" is a comparison of numbers:
//
//      time   5        6 __syncthreads      7        thread A wrote at 5; thread B passed a barrier at 6: 5 < 6, ordered.
//             A writes |                    B reads   If B's last barrier had been at 5 or before, it would be a race.
//
// Reads do not race with each other, so there can be many at the same time. Two of them are enough to remember: the first one,
// and the one most unlike it (of another block rather than another warp, of another warp rather than another thread). An access
// that races with any of the reads then races with one of these two. The same holds for atomics.
#pragma once
#include <stdint.h>

#include "interface.h"

namespace tinydx {

enum AccessKind : uint8_t { READ, WRITE, ATOMIC };

struct Access {
    uint32_t time, pc, block;  // time 0: no access
    uint16_t thread;
    uint8_t bytes, kind;       // bytes: a bit for each byte of the element
};

struct Pair {
    Access first, other;
};

struct Cell {
    Access write;
    Pair reads, atomics;
    uint32_t born;       // shared memory: the start time of the block that these facts are about
    uint8_t unwritten, pending, outside;
};

struct Region {
    char* base;
    uint64_t bytes;
    Cell* cells;
    bool shared;
    int index;
    unsigned element;    // bytes that a cell stands for: 1, 2 or 4

    bool contains(const char* p, uint64_t size) const { return p >= base && p + size <= base + bytes; }
    uint64_t cell_count() const { return (bytes + element - 1) / element; }
    Cell& cell_of(uint64_t byte) const { return cells[byte >> element / 2]; }  // a division, for 1, 2 and 4
    uint8_t bit_of(uint64_t byte) const { return 1 << (byte & (element - 1)); }
};

// The thread that accesses now, and when it was last synchronised with its block and with its warp.
struct Viewer {
    uint32_t block, block_sync, warp_sync;
    uint16_t thread;

    // Whether barriers order an access of the same block before now.
    bool ordered(const Access& a) const {
        return a.thread == thread || a.time < block_sync || (a.thread / 32 == thread / 32 && a.time < warp_sync);
    }
    bool supersedes(const Access& a) const { return a.time == 0 || (a.block == block && ordered(a)); }
};

inline int unlike(const Access& a, const Access& b) {
    return a.block != b.block ? 3 : a.thread / 32 != b.thread / 32 ? 2 : a.thread != b.thread;
}

inline void remember(Pair& pair, Access now, const Viewer& me) {
    Access &first = pair.first, &other = pair.other;
    if (me.supersedes(first)) {
        bool still_counts = first.block == me.block && first.thread == me.thread && first.time >= me.block_sync;
        if (still_counts) now.bytes |= first.bytes;
        first = now;
    } else if (me.supersedes(other) || unlike(first, now) >= unlike(first, other)) {
        other = now;
    }
}

}  // namespace tinydx
