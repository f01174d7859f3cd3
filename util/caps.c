// SPDX-License-Identifier: Apache-2.0
#include "util/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

void caps_bound(uint64_t set)
{
	for (unsigned long n = 0; n < 64; n++)
		if (!(set & CAPS_BIT(n)) && prctl(PR_CAPBSET_DROP, n, 0, 0, 0) < 0 &&
			errno == EINVAL)
			break; /* the last one was before */
}

int caps_keep(uint64_t set)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	caps_bound(set);
	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (unsigned int i = 0; i < 2; i++) {
		uint32_t part = (uint32_t)(set >> (32 * i));

		data[i].permitted &= part;
		data[i].effective = data[i].permitted;
		data[i].inheritable &= part;
	}
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

int caps_pass_on(uint64_t set)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	const uint32_t low = (uint32_t)set, high = (uint32_t)(set >> 32);
	struct __user_cap_data_struct data[2] = {{low, low, low}, {high, high, high}};

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, data) < 0)
		return -errno;
	for (unsigned long n = 0; n < 64; n++)
		if ((set & CAPS_BIT(n)) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0) < 0)
			return -errno;
	return 0;
}
