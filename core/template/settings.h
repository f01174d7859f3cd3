/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_CORE_TEMPLATE_SETTINGS_H
#define ARROW_CORE_TEMPLATE_SETTINGS_H

#include "engine/engine.h"

/*
 * What the environment sets for engines: ARROW_QEMU, ARROW_ZYGOTE=off, ARROW_ZYGOTE_IDLE in
 * seconds, ARROW_JAIL_UID_BASE. It borrows from the environment.
 */
struct arrow_engine_settings arrow_engine_settings_from_environment(void);

#endif
