#define PATH amx
#define NAME "amx"
#include "path_bfloat16.h"
