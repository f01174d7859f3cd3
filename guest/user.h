/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARROW_GUEST_USER_H
#define ARROW_GUEST_USER_H

#include <stddef.h>
#include <stdint.h>

#define USER_GROUPS_MAX 256u
#define USER_HOME_MAX 256u

struct user {
	uint32_t uid, gid;
	uint32_t groups[USER_GROUPS_MAX]; /* gid first, then the supplementary ones */
	size_t group_count;
	char home[USER_HOME_MAX];
};

/*
 * Finds out who "user[:group]" is, as Docker does: each part is a name or a number; a number need
 * not be listed, a name must; the groups that list the user are added when the spec names none.
 * passwd and group are the contents of those files, "" where the root has none. An empty spec is
 * root. Returns 0, or -EINVAL with the reason in why.
 */
int user_find(const char *passwd, const char *group, const char *spec, struct user *user, char *why,
	size_t why_size) __attribute__((warn_unused_result));

/*
 * Adds groups to those of a user: names, which must be listed, or numbers. names: NULL-terminated.
 * Returns 0, or -EINVAL with the reason in why.
 */
int user_join(const char *group, char *const *names, struct user *user, char *why, size_t why_size)
	__attribute__((warn_unused_result));

#endif
