/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_SPEC_CPUSET_H
#define ARROW_CORE_SPEC_CPUSET_H

#include <sched.h>

#include "util/error.h"

/* CPUs as Linux lists them, "0-2,5". Returns 0, or -EINVAL for what is no such list, or empty. */
int arrow_cpuset_parse(const char *text, cpu_set_t *set) ARROW_MUST_CHECK;

#endif
