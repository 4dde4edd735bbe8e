/* runs */
#define CHANGE s.len=0;s.values=NULL;
#include "scores.h"
