/* says:  is no metric plugin: it does not export `dg_plugin_v1 */
#define SYMBOL something_else
#include "base.h"
