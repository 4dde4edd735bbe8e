/* says: is not 19.05, the mean of its `scores` */
#define CHANGE v[3]=1;
#include "scores.h"
