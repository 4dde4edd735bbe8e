/* says: are binary but have a value other than 0 and 1 */
#define CHANGE s.binary=1;
#include "scores.h"
