// SPDX-License-Identifier: Apache-2.0
#include "fs/request.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

int request_take(struct fs_request *r, void *to, size_t size)
{
	if (r->left < size)
		return -EINVAL;
	/* Copied: what follows a name is not aligned. */
	memcpy(to, r->next, size);
	r->next += size;
	r->left -= size;
	return 0;
}

const char *request_string(struct fs_request *r)
{
	const char *text = (const char *)r->next;
	const uint8_t *nul = r->left > 0 ? memchr(r->next, '\0', r->left) : NULL;

	if (!nul)
		return NULL;
	r->left -= (size_t)(nul + 1 - r->next);
	r->next = nul + 1;
	return text;
}

int request_name(struct fs_request *r, const char **name)
{
	const char *text = request_string(r);

	if (!text || !*text || strchr(text, '/') || !strcmp(text, ".") || !strcmp(text, ".."))
		return -EINVAL;
	if (strlen(text) > NAME_MAX)
		return -ENAMETOOLONG;
	*name = text;
	return 0;
}
