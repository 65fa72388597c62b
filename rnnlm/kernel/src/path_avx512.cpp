#define PATH avx512
#define NAME "avx512"
#include "path.h"
