// The handlers that -fsanitize=undefined calls: a finding ends the launch with a Python error.
//
// The compiler's own runtime library would end the process. Each handler is given data that begins
// with the place in the source (clang's compiler-rt/lib/ubsan/ubsan_handlers.h, which GCC follows).
#pragma once

#include "device.h"

namespace simulator {

struct Place {
    const char *file;
    unsigned int line, column;
};

[[noreturn]] inline void undefined(const void *data, const char *what) {
    const Place &place = *static_cast<const Place *>(data);
    fail(what, place.file, static_cast<int>(place.line));
}

}  // namespace simulator

#define GPUCNN_HANDLER(name, what)                                           \
    extern "C" [[noreturn]] void __ubsan_handle_##name(const void *data) {   \
        simulator::undefined(data, what);                                    \
    }

GPUCNN_HANDLER(type_mismatch_v1_abort, 
               "touches memory at a null or misaligned address, or beyond the end of an array")
GPUCNN_HANDLER(out_of_bounds_abort, "indexes an array beyond its end")
GPUCNN_HANDLER(pointer_overflow_abort, "computes an address that wraps around or is based on null")
GPUCNN_HANDLER(add_overflow_abort, "overflows a signed integer in an addition")
GPUCNN_HANDLER(sub_overflow_abort, "overflows a signed integer in a subtraction")
GPUCNN_HANDLER(mul_overflow_abort, "overflows a signed integer in a multiplication")
GPUCNN_HANDLER(negate_overflow_abort, "overflows a signed integer in a negation")
GPUCNN_HANDLER(divrem_overflow_abort, "divides by zero, or overflows in a division")
GPUCNN_HANDLER(shift_out_of_bounds_abort, "shifts by a negative or too large number of bits")
GPUCNN_HANDLER(load_invalid_value_abort, "reads a bool or enum that holds no value of its type")
GPUCNN_HANDLER(vla_bound_not_positive_abort, "declares an array of a size that is not positive")
GPUCNN_HANDLER(float_cast_overflow_abort, "converts a float to an integer that cannot hold it")
GPUCNN_HANDLER(nonnull_arg_abort, "passes null where it is not allowed")
GPUCNN_HANDLER(nonnull_return_v1_abort, "returns null where it is not allowed")
GPUCNN_HANDLER(invalid_builtin_abort, "counts the leading or trailing zeros of zero")
GPUCNN_HANDLER(builtin_unreachable, "comes to a place declared unreachable")
GPUCNN_HANDLER(missing_return, "leaves a function without the value that it returns")
