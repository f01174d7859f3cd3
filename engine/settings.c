// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"
#include "engine/jail.h"

const struct arrow_engine_settings arrow_engine_defaults = {
	.zygote = true,
	.zygote_idle_s = 180,
	.zygote_forks = 1000,
	.jail_uid_base = ARROW_JAIL_UID_BASE,
};
