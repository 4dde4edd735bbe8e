/* says: have sample id `p4` twice */
#define CHANGE q[3]=4;s.prompts=q;
#include "scores.h"
