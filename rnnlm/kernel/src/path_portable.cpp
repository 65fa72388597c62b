#define PATH portable
#define NAME "portable"
#include "path.h"
