#define PATH avx512_bf16
#define NAME "avx512_bf16"
#include "path_bfloat16.h"
