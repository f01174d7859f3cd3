/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_TESTS_UNIT_UNIT_H
#define ARROW_TESTS_UNIT_UNIT_H

/* cmocka needs these in front of it, in this order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#endif
