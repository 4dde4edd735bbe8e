/* says: belong to no scalar */
#define CHANGE s.id=S("other");
#include "scores.h"
