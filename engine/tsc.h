/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_ENGINE_TSC_H
#define ARROW_ENGINE_TSC_H

#include <stdint.h>

/*
 * The rate of this host's time stamp counter in kHz, which is also that of its guests; 0
 * where it is not constant, or there is none. Takes what was measured in this boot from cache_dir,
 * else measures for 20 ms and leaves it there; NULL measures afresh.
 */
uint32_t arrow_tsc_khz(const char *cache_dir);

#endif
