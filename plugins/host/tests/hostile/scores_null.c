/* says: `values` of scores `bad` of condition `default` is no array of 20 */
#define CHANGE s.values=NULL;
#include "scores.h"
