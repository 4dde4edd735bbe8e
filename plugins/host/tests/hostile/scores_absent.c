/* runs */
#define CHANGE p[3]=0;v[3]=1/zero;s.present=p;
#include "scores.h"
