/* says: `sample_ids` of scores `bad` of condition `default` is no array of 20 */
#define CHANGE for(int i=0;i<20;i++)ids[i]=(dg_str){"p",(size_t)-1};s.sample_ids=ids;
#include "scores.h"
