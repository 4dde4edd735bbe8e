/* says: have 9 in `present`, where 0 and 1 belong */
#define CHANGE p[3]=9;s.present=p;
#include "scores.h"
