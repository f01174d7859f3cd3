// SPDX-License-Identifier: Apache-2.0
#include "fs/caller.h"

#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int caller_cap(long call, struct __user_cap_data_struct *caps)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)syscall(call, &header, caps);
}

void caller_init(struct fs_caller *c)
{
	*c = (struct fs_caller){.own_uid = geteuid(), .own_gid = getegid()};
	c->uid = c->own_uid;
	c->gid = c->own_gid;
	c->mask = 0;
	umask(0);
	/* Without CAP_SETPCAP the capabilities go with the user 0, and permissions decide. */
	(void)prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
	(void)prctl(PR_GET_PDEATHSIG, &c->death_signal, 0, 0, 0);
	c->fsetid = caller_cap(SYS_capget, c->caps) == 0 && c->caps[0].effective & 1u << CAP_FSETID;
}

static void caller_changed(const struct fs_caller *c)
{
	if (c->death_signal)
		(void)prctl(PR_SET_PDEATHSIG, c->death_signal, 0, 0, 0);
}

void caller_become(struct fs_caller *c, uid_t uid, gid_t gid)
{
	bool changed = false;

	/* These calls do not tell of a failure: -1 is never valid and tells what there is. */
	if (gid != c->gid) {
		setfsgid(gid);
		if ((gid_t)setfsgid((gid_t)-1) != gid)
			setfsgid(c->own_gid);
		c->gid = gid;
		changed = true;
	}
	if (uid != c->uid) {
		setfsuid(uid);
		if ((uid_t)setfsuid((uid_t)-1) != uid)
			setfsuid(c->own_uid);
		c->uid = uid;
		changed = true;
	}
	if (changed)
		caller_changed(c);
}

void caller_set_mask(struct fs_caller *c, mode_t mask)
{
	mask &= 0777;
	if (mask != c->mask)
		umask(mask);
	c->mask = mask;
}

void caller_keep_suid(struct fs_caller *c, bool keep)
{
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	if (keep == c->fsetid || !(c->caps[0].effective & 1u << CAP_FSETID))
		return;
	caps[0] = c->caps[0];
	caps[1] = c->caps[1];
	if (!keep)
		caps[0].effective &= ~(1u << CAP_FSETID);
	if (caller_cap(SYS_capset, caps) == 0)
		c->fsetid = keep;
	caller_changed(c);
}
