// Stands in front of a kernel of CuPy's for the simulator: names of NVRTC and of CuPy's headers.
#include <initializer_list>

typedef __PTRDIFF_TYPE__ ptrdiff_t;

#define NULL nullptr
#define assert(condition)

extern "C" void *memcpy(void *, const void *, size_t) noexcept;
extern "C" void *memset(void *, int, size_t) noexcept;

#ifdef __FLT16_MANT_DIG__  // g++ 12 and later
class float16 {
    _Float16 value;

public:
    float16() = default;
    template <class T>
    float16(T number) : value(static_cast<float>(number)) {}
    operator float() const { return value; }
};
inline bool isnan(float16 a) { return isnan(static_cast<float>(a)); }
#endif

inline long long clock64() { return static_cast<long long>(__builtin_ia32_rdtsc()); }
