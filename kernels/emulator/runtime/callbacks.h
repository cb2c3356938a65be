// The functions that g++ calls: -fsanitize=thread before each access, -fsanitize=alignment,bounds,... at a mistake.
#pragma once
#include <stdio.h>

#include "waiting.h"

using namespace tinydx;

#define TSAN(bytes)                                                                                                            \
    extern "C" void __tsan_read##bytes(void* p) { check((char*)p, bytes, READ, CALLER); }                                      \
    extern "C" void __tsan_write##bytes(void* p) { check((char*)p, bytes, WRITE, CALLER); }                                    \
    extern "C" void __tsan_unaligned_read##bytes(void* p) { check((char*)p, bytes, READ, CALLER); }                            \
    extern "C" void __tsan_unaligned_write##bytes(void* p) { check((char*)p, bytes, WRITE, CALLER); }                          \
    extern "C" void __tsan_volatile_read##bytes(void* p) { check((char*)p, bytes, READ, CALLER); }                             \
    extern "C" void __tsan_volatile_write##bytes(void* p) { check((char*)p, bytes, WRITE, CALLER); }
TSAN(1)
TSAN(2)
TSAN(4)
TSAN(8)
TSAN(16)
extern "C" void __tsan_read_range(void* p, unsigned long bytes) { check((char*)p, bytes, READ, CALLER); }
extern "C" void __tsan_write_range(void* p, unsigned long bytes) { check((char*)p, bytes, WRITE, CALLER); }
extern "C" void __tsan_init() {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}

struct TypeName {      // as g++ describes a type to its sanitizers
    uint16_t kind, info;
    char name[1];
};
struct Place {         // in the source; unused, since the code address is right for inlined functions, too
    const char* file;
    uint32_t line, column;
};
struct BoundsData {
    Place place;
    const TypeName *array, *index;
};
struct TypeData {
    Place place;
    const TypeName* type;
    uint8_t log_alignment, kind;
};
struct ArithmeticData {
    Place place;
    const TypeName* type;
};

static void arithmetic(const void* code, const char* what, const TypeName* type) {
    if (Finding* f = self ? report(ARITHMETIC, relative(code)) : nullptr)
        snprintf(f->detail, sizeof f->detail, "%s of %s", what, type->name);
}

extern "C" void __ubsan_handle_out_of_bounds(BoundsData* data, uint64_t index) {
    bool wide = data->index->info >> 1 > 5;  // the binary logarithm of its number of bits
    if (Finding* f = report(OUT_OF_BOUNDS, relative(CALLER)))
        snprintf(f->detail, sizeof f->detail, "%lld %s", wide ? (long long)index : (long long)(int32_t)index, data->array->name);
    stop();
}
extern "C" void __ubsan_handle_type_mismatch_v1(TypeData* data, char* address) {
    if ((uint64_t)address % (1ull << data->log_alignment) == 0) return;
    Region* region = nearest_region(address);
    AccessKind kind = data->kind == 1 ? WRITE : READ;
    report_access(MISALIGNED, region, address, 1u << data->log_alignment, kind, relative(CALLER));
    stop();
}
extern "C" void __ubsan_handle_add_overflow(ArithmeticData* d, void*, void*) { arithmetic(CALLER, "overflow in a sum", d->type); }
extern "C" void __ubsan_handle_sub_overflow(ArithmeticData* d, void*, void*) { arithmetic(CALLER, "overflow in a difference", d->type); }
extern "C" void __ubsan_handle_mul_overflow(ArithmeticData* d, void*, void*) { arithmetic(CALLER, "overflow in a product", d->type); }
extern "C" void __ubsan_handle_negate_overflow(ArithmeticData* d, void*) { arithmetic(CALLER, "overflow in a negation", d->type); }
extern "C" void __ubsan_handle_shift_out_of_bounds(ArithmeticData* d, void*, void*) { arithmetic(CALLER, "too large a shift", d->type); }
extern "C" void __ubsan_handle_divrem_overflow(ArithmeticData* d, void*, void*) {
    arithmetic(CALLER, "division by zero", d->type);
    stop();
}
