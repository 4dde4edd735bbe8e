/* says: of condition `nowhere` */
#define CHANGE s.condition=S("nowhere");
#include "scores.h"
