// SPDX-License-Identifier: Apache-2.0
#include "guest/user.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Pure, so the host's tests run it too. */

#define FIELDS 7 /* name:password:uid:gid:comment:home:shell */

struct field {
	const char *text;
	size_t length;
};

/* Splits the line at *text at its colons and moves *text to the next one. False at the end. */
static bool user_next_line(const char **text, struct field fields[FIELDS])
{
	const char *p = *text, *end;

	if (*p == '\0')
		return false;
	end = p + strcspn(p, "\n");
	*text = *end ? end + 1 : end;
	memset(fields, 0, sizeof(*fields) * FIELDS);
	for (int i = 0; i < FIELDS && p <= end; i++) {
		size_t length = strcspn(p, ":\n");

		fields[i] = (struct field){p, length};
		p += length + 1;
	}
	return true;
}

static bool user_field_is(struct field field, const char *text, size_t length)
{
	return field.text && field.length == length && memcmp(field.text, text, length) == 0;
}

/* Reads a decimal number of at most INT_MAX, the largest id that Docker takes. */
static bool user_parse_id(const char *text, size_t length, uint32_t *id)
{
	uint64_t n = 0;

	if (!text || length == 0 || length > 10)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text[i] - '0');
	}
	if (n > INT_MAX)
		return false;
	*id = (uint32_t)n;
	return true;
}

static bool user_is_number(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
	}
	return length > 0;
}

static bool user_is_in_group(struct field members, struct field name)
{
	const char *p = members.text, *end = p ? p + members.length : NULL;

	while (p && p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t length = (size_t)((comma ? comma : end) - p);

		if (length == name.length && memcmp(p, name.text, length) == 0)
			return true;
		p += length + 1;
	}
	return false;
}

static int user_refuse_id(const char *text, size_t length, char *why, size_t size)
{
	snprintf(why, size, "the id %.*s is too large: ids end at %d", (int)length, text, INT_MAX);
	return -EINVAL;
}

static int find_user(const char *passwd, struct field want, struct user *user, struct field *name,
	char *why, size_t size)
{
	bool number = want.length == 0 || user_parse_id(want.text, want.length, &user->uid);
	struct field f[FIELDS];
	uint32_t uid;

	if (!number && user_is_number(want.text, want.length))
		return user_refuse_id(want.text, want.length, why, size);
	while (user_next_line(&passwd, f)) {
		if (!user_parse_id(f[2].text, f[2].length, &uid) || f[0].length == 0)
			continue;
		if (number ? uid != user->uid : !user_field_is(f[0], want.text, want.length))
			continue;
		user->uid = uid;
		if (!user_parse_id(f[3].text, f[3].length, &user->gid))
			user->gid = 0;
		if (f[5].length > 0 && f[5].length < sizeof(user->home)) {
			memcpy(user->home, f[5].text, f[5].length);
			user->home[f[5].length] = '\0';
		}
		*name = f[0];
		return 0;
	}
	if (number)
		return 0;
	snprintf(why, size, "unable to find user %.*s: no matching entries in passwd file",
		(int)want.length, want.text);
	return -EINVAL;
}

static int user_find_group(
	const char *group, struct field want, uint32_t *gid, char *why, size_t size)
{
	bool number = user_parse_id(want.text, want.length, gid);
	struct field f[FIELDS];

	if (number)
		return 0;
	if (user_is_number(want.text, want.length))
		return user_refuse_id(want.text, want.length, why, size);
	while (user_next_line(&group, f)) {
		if (user_field_is(f[0], want.text, want.length) &&
			user_parse_id(f[2].text, f[2].length, gid))
			return 0;
	}
	snprintf(why, size, "unable to find group %.*s: no matching entries in group file",
		(int)want.length, want.text);
	return -EINVAL;
}

static void user_add_groups(const char *group, struct field name, struct user *user)
{
	struct field f[FIELDS];
	uint32_t gid;

	while (name.length > 0 && user->group_count < USER_GROUPS_MAX &&
		user_next_line(&group, f)) {
		if (user_is_in_group(f[3], name) && user_parse_id(f[2].text, f[2].length, &gid) &&
			gid != user->gid)
			user->groups[user->group_count++] = gid;
	}
}

int user_find(const char *passwd, const char *group, const char *spec, struct user *user, char *why,
	size_t why_size)
{
	const char *colon = strchr(spec, ':');
	struct field want = {spec, colon ? (size_t)(colon - spec) : strlen(spec)};
	struct field name = {"", 0};
	int r;

	*user = (struct user){.home = ""};
	r = find_user(passwd, want, user, &name, why, why_size);
	if (r < 0)
		return r;
	if (colon && colon[1] != '\0')
		r = user_find_group(group, (struct field){colon + 1, strlen(colon + 1)}, &user->gid,
			why, why_size);
	if (r < 0)
		return r;
	if (user->home[0] == '\0')
		snprintf(user->home, sizeof(user->home), "%s", user->uid == 0 ? "/root" : "/");
	user->groups[user->group_count++] = user->gid;
	if (!colon || colon[1] == '\0')
		user_add_groups(group, name, user);
	return 0;
}

int user_join(const char *group, char *const *names, struct user *user, char *why, size_t why_size)
{
	for (; *names; names++) {
		uint32_t gid;
		size_t i = 0;
		int r = user_find_group(
			group, (struct field){*names, strlen(*names)}, &gid, why, why_size);

		if (r < 0)
			return r;
		while (i < user->group_count && user->groups[i] != gid)
			i++;
		if (i < user->group_count)
			continue;
		if (i == USER_GROUPS_MAX) {
			snprintf(why, why_size, "the user is in more than %u groups",
				USER_GROUPS_MAX);
			return -EINVAL;
		}
		user->groups[user->group_count++] = gid;
	}
	return 0;
}
