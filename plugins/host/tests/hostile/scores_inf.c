/* says: have a value that is not finite */
#define CHANGE v[3]=1/zero;
#include "scores.h"
