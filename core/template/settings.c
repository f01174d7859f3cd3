// SPDX-License-Identifier: Apache-2.0
#include "core/template/settings.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The number in a variable, or `otherwise` where it holds none. */
static unsigned long settings_read_number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);
	char *end;
	unsigned long value;

	if (!text || *text < '0' || *text > '9')
		return otherwise;
	value = strtoul(text, &end, 0);
	return *end ? otherwise : value;
}

struct arrow_engine_settings arrow_engine_settings_from_environment(void)
{
	struct arrow_engine_settings s = arrow_engine_defaults;
	const char *zygote = getenv("ARROW_ZYGOTE");
	unsigned long idle = settings_read_number("ARROW_ZYGOTE_IDLE", s.zygote_idle_s);

	s.qemu = getenv("ARROW_QEMU");
	s.zygote = !zygote || strcmp(zygote, "off") != 0;
	s.zygote_idle_s = idle > UINT_MAX ? UINT_MAX : (unsigned int)idle;
	s.jail_uid_base = settings_read_number("ARROW_JAIL_UID_BASE", s.jail_uid_base);
	return s;
}
