// SPDX-License-Identifier: Apache-2.0
#include "net/resolv.h"

#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/io.h"

#define FILE_MAX (64u * 1024u)
#define BLANKS " \t\r"

static void resolv_add_server(struct net_resolv *resolv, char *text)
{
	char *scope = strchr(text, '%');
	struct net_address address;

	if (scope)
		*scope++ = '\0';
	if (resolv->n == NET_RESOLV_SERVERS || net_address_parse(text, &address) < 0 ||
		address.prefix != net_address_bits(address.family))
		return;
	resolv->servers[resolv->n].address = address;
	resolv->servers[resolv->n++].scope = scope ? if_nametoindex(scope) : 0;
}

/* Adds a word to a list; one that does not fit is left out. */
static void resolv_add_word(char list[NET_RESOLV_TEXT], const char *word)
{
	size_t used = strlen(list), size = strlen(word);

	if (used + size + 2 > NET_RESOLV_TEXT)
		return;
	if (used)
		list[used++] = ' ';
	memcpy(list + used, word, size + 1);
}

void net_resolv_parse(struct net_resolv *resolv, char *text)
{
	char *line, *rest = NULL, *word, *words = NULL;

	*resolv = (struct net_resolv){0};
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		const char *key = strtok_r(line, BLANKS, &words);

		if (!key || *key == '#' || *key == ';')
			continue;
		word = strtok_r(NULL, BLANKS, &words);
		if (word && strcmp(key, "nameserver") == 0) {
			word[strcspn(word, "#;")] = '\0';
			resolv_add_server(resolv, word);
			continue;
		}
		/* The last one of these counts; options add up. */
		if (strcmp(key, "search") == 0 || strcmp(key, "domain") == 0)
			resolv->search[0] = '\0';
		for (; word && *word != '#' && *word != ';'; word = strtok_r(NULL, BLANKS, &words))
			if (strcmp(key, "options") == 0)
				resolv_add_word(resolv->options, word);
			else if (strcmp(word, ".") != 0 &&
				 (strcmp(key, "search") == 0 || strcmp(key, "domain") == 0))
				resolv_add_word(resolv->search, word);
	}
}

void net_resolv_read(struct net_resolv *resolv, const char *path)
{
	_cleanup_free_ char *text = NULL;

	*resolv = (struct net_resolv){0};
	if (read_file(AT_FDCWD, path, FILE_MAX, &text, NULL) == 0)
		net_resolv_parse(resolv, text);
}
