// What Python (module.py) passes to the runtime for one launch, and gets back. abi.py has the same structures.
#pragma once
#include <stdint.h>

namespace tinydx {

struct Array {            // a region of memory that kernel arguments point into
    char* data;           // on the host
    uint64_t bytes, element;  // of all, and of one element: 1, 2 or 4
    uint8_t* unwritten;   // null, or for each byte: 1 if it has not been written yet. Updated by the launch
    uint8_t* outside;     // null, or for each byte: 1 if it lies between the elements of a strided array
};

struct Parameter {
    int64_t array;        // index of the array that it points into; -1 for a scalar
    uint64_t offset;      // of the pointer in that array
    void* scalar;
};

struct Variable {         // a __shared__ or __device__ variable of the module
    char* address;
    uint64_t bytes, element;
    uint64_t shared;          // 1: __shared__
};

enum FindingKind : uint32_t {
    RACE, RACE_BETWEEN_BLOCKS, BARRIER_DIVERGENCE, DEADLOCK, OUT_OF_BOUNDS, UNINITIALISED, MISALIGNED, MISSING_WAIT,
    WARP_DIVERGENCE, INACTIVE_LANE, ARITHMETIC, NO_PROGRESS, ASSERTION, STACK_OVERFLOW,
};

struct Finding {
    uint32_t kind, access, other_access;
    int32_t region;                 // index: arrays, then variables, then dynamic shared memory; -1: none
    int64_t offset;                 // of the access in that region
    uint64_t bytes, pc, other_pc;   // pc: relative to the module, 0 where there is none
    uint32_t thread, other_thread;  // linear in the block
    uint32_t block, other_block;    // linear in the grid
    char detail[80];
};

struct Counter {                    // one memory instruction
    uint64_t pc;
    uint32_t shared, access, bytes, region;
    uint64_t requests;              // of warps
    uint64_t moved, ideal;          // global: 32-byte sectors; shared: passes over the 32 banks. ideal: the least possible
};

struct Launch {
    void (*kernel)(void** arguments);
    uint64_t checked, allow_divergent_barriers, seed, access_limit;
    uint32_t grid[3], block[3];
    uint64_t dynamic_shared, dynamic_element;
    char* module;                   // its code and constants: addresses of code are reported relative to here
    uint64_t module_bytes;
    Array* arrays;
    Parameter* parameters;
    Variable* variables;
    Finding* findings;
    Counter* counters;
    uint64_t array_count, parameter_count, variable_count, finding_room, counter_room;
    uint64_t finding_count, counter_count;  // results
};

}  // namespace tinydx
