// Counters: how a GPU would transfer a warp's accesses.
//
// The emulator runs the lanes of a warp one after the other, and puts a request of the warp together afterwards: the k-th
// time that lane 3 executes an instruction belongs to the k-th time that lane 4 does, between two stops of the warp.
//
//   global    a request moves whole sectors of 32 bytes: 32 neighbouring floats are 4 sectors, 32 floats a row apart are 32
//   shared    word w lies in bank w mod 32, and a bank serves one word in each pass: lanes that access different words of the
//             same bank take turns. 8-byte accesses are served by half warps, 16-byte accesses by quarter warps.
#pragma once
#include <string.h>
#include <vector>

#include "shadow.h"

namespace tinydx {

constexpr unsigned LONGEST = 1 << 14;  // visits of a lane between two stops that are counted, a limit of memory

struct Request {
    uint32_t lanes;
    uint64_t address[32];
};

inline unsigned distinct_sectors(const Request& r, unsigned bytes) {
    uint64_t seen[64];
    unsigned count = 0;
    for (int lane = 0; lane < 32; lane++) {
        if (!(r.lanes >> lane & 1)) continue;
        for (uint64_t s = r.address[lane] / 32; s <= (r.address[lane] + bytes - 1) / 32; s++) {
            unsigned i = count;
            while (i > 0 && seen[i - 1] != s) i--;  // the newest first: neighbours share sectors
            if (i == 0 && count < 64) seen[count++] = s;
        }
    }
    return count;
}

// The passes over the banks that a request takes, and how many it would take without conflicts.
inline void bank_passes(const Request& r, unsigned bytes, uint64_t& passes, uint64_t& ideal) {
    unsigned group = bytes <= 4 ? 32 : bytes == 8 ? 16 : 8;
    for (unsigned start = 0; start < 32; start += group) {
        uint64_t words[32][32];
        unsigned used[32] = {0}, worst = 0;
        for (unsigned lane = start; lane < start + group; lane++) {
            if (!(r.lanes >> lane & 1)) continue;
            for (uint64_t w = r.address[lane] / 4; w <= (r.address[lane] + bytes - 1) / 4; w++) {
                unsigned bank = w % 32, i = 0;
                while (i < used[bank] && words[bank][i] != w) i++;
                if (i == used[bank] && used[bank] < 32) words[bank][used[bank]++] = w;
                if (used[bank] > worst) worst = used[bank];
            }
        }
        passes += worst;
        ideal += worst > 0;
    }
}

// One memory instruction and one array that it accesses. There are several where a helper such as read_four was not inlined.
struct Site {
    Counter total{};
    Region* region = nullptr;
    uint32_t next = 0;               // the same instruction's site for another array
    uint32_t segment = 0;            // the period between two stops of a warp that `open` belongs to
    uint32_t visits[32];
    std::vector<Request> open;
};

class Counters {
public:
    void begin(uint64_t module_bytes) {
        site_of.assign(module_bytes, 0);
        sites.clear();
        sites.emplace_back();        // number 0: not seen yet
        sites.reserve(256);
        touched.clear();
        segment = 1;
    }

    // The site of this instruction and of the array that contains the address, or null if there is none yet.
    Site* find(uint32_t pc, const char* address, unsigned bytes) {
        for (uint32_t number = site_of[pc]; number; number = sites[number].next)
            if (sites[number].region->contains(address, bytes)) return &sites[number];
        return nullptr;
    }

    Site* add(uint32_t pc, Region* region) {
        sites.emplace_back();
        Site& site = sites.back();
        site.region = region;
        site.next = site_of[pc];
        site.total.pc = pc;
        site.total.region = region->index;
        site.total.shared = region->shared;
        site_of[pc] = sites.size() - 1;
        return &site;
    }

    void count(Site& site, unsigned lane, const char* address, unsigned bytes, AccessKind kind) {
        if (site.segment != segment) {
            site.segment = segment;
            memset(site.visits, 0, sizeof site.visits);
            site.open.clear();
            touched.push_back(&site - sites.data());
            site.total.access = kind;
            site.total.bytes = bytes;
        }
        unsigned visit = site.visits[lane]++;
        if (visit >= LONGEST) return;
        if (visit == site.open.size()) site.open.push_back({});
        site.open[visit].lanes |= 1u << lane;
        site.open[visit].address[lane] = (uint64_t)address;
    }

    // The warp has stopped, or another one runs: the requests are complete.
    void end_segment() {
        for (uint32_t number : touched) {
            Counter& total = sites[number].total;
            for (const Request& r : sites[number].open) {
                total.requests++;
                if (total.shared) {
                    bank_passes(r, total.bytes, total.moved, total.ideal);
                } else {
                    total.moved += distinct_sectors(r, total.bytes);
                    total.ideal += (__builtin_popcount(r.lanes) * total.bytes + 31) / 32;
                }
            }
        }
        touched.clear();
        segment++;
    }

    uint64_t write(Counter* out, uint64_t room) const {
        uint64_t count = 0;
        for (const Site& s : sites)
            if (s.total.requests && count < room) out[count++] = s.total;
        return count;
    }

private:
    std::vector<uint32_t> site_of, touched;
    std::vector<Site> sites;
    uint32_t segment = 1;
};

}  // namespace tinydx
