#define PATH avx2
#define NAME "avx2"
#include "path.h"
