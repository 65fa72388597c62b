#define PATH avx2_bf16
#define NAME "avx2_bf16"
#include "path_bfloat16.h"
