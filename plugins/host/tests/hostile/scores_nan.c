/* says: have a value that is not finite */
#define CHANGE v[3]=0/zero;
#include "scores.h"
