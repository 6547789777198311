// Stands in for the header of this name, which CUDA's runtime headers include and the packages on
// PyPI do not have: the keywords of CUDA C++ in declarations mean nothing to a host compiler.
#pragma once

#define __host__
#define __device__
#define __global__
#define __cudart_builtin__
#define __device_builtin__
#define __device_builtin_surface_type__
#define __device_builtin_texture_type__
#define __specialization_static
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __attribute__((aligned(n)))
#define CUDARTAPI
#define CUDARTAPI_CDECL
