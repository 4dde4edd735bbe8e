/* says: name prompt 20 of 20 that were shown */
#define CHANGE q[3]=20;s.prompts=q;
#include "scores.h"
