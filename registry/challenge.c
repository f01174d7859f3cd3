// SPDX-License-Identifier: Apache-2.0
#include "registry/challenge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "util/cleanup.h"

#define PARAMETER_MAX 4096u

/* A place in the text; it never passes the end. */
struct cursor {
	const char *at, *end;
};

static bool is_token(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip_space(struct cursor *k)
{
	while (k->at < k->end && (*k->at == ' ' || *k->at == '\t'))
		k->at++;
}

static bool next_is(const struct cursor *k, char c)
{
	return k->at < k->end && *k->at == c;
}

static size_t take_token(struct cursor *k, const char **token)
{
	*token = k->at;
	while (k->at < k->end && is_token(*k->at))
		k->at++;
	return (size_t)(k->at - *token);
}

/*
 * A token or a quoted string. *value is NULL where it has no place in a URL or a message: it is
 * too long or has control characters. Returns 0 or -ENOMEM.
 */
static int take_value(struct cursor *k, char **value)
{
	bool quoted = next_is(k, '"');
	_cleanup_free_ char *text = malloc((size_t)(k->end - k->at) + 1);
	bool fine = true;
	size_t n = 0;

	*value = NULL;
	if (!text)
		return -ENOMEM;
	if (quoted)
		k->at++;
	while (k->at < k->end && (quoted ? *k->at != '"' : is_token(*k->at))) {
		if (quoted && *k->at == '\\' && k->at + 1 < k->end)
			k->at++;
		if ((unsigned char)*k->at < ' ' || *k->at == 0x7f)
			fine = false;
		text[n++] = *k->at++;
	}
	if (quoted && next_is(k, '"'))
		k->at++;
	else if (quoted)
		fine = false; /* cut off */
	text[n] = '\0';
	if (fine && n > 0 && n <= PARAMETER_MAX)
		*value = STEAL(text);
	return 0;
}

static bool challenge_same(const char *token, size_t size, const char *name)
{
	return strlen(name) == size && strncasecmp(token, name, size) == 0;
}

/* The challenge that is being read. */
struct reading {
	bool bearer;
	char *realm, *service, *scope, *error;
};

static void reading_clear(struct reading *r)
{
	free(r->realm);
	free(r->service);
	free(r->scope);
	free(r->error);
	*r = (struct reading){0};
}

/* Takes over a challenge that is complete. */
static void challenge_finish(struct challenge *c, struct reading *r)
{
	if (r->bearer && r->realm && !c->bearer) {
		c->bearer = true;
		c->realm = STEAL(r->realm);
		c->service = STEAL(r->service);
		c->scope = STEAL(r->scope);
		c->error = STEAL(r->error);
	}
	reading_clear(r);
}

static int take_parameter(struct cursor *k, struct reading *r, const char *name, size_t size)
{
	char *value, **place = NULL;
	int e = take_value(k, &value);

	if (e < 0)
		return e;
	if (challenge_same(name, size, "realm"))
		place = &r->realm;
	else if (challenge_same(name, size, "service"))
		place = &r->service;
	else if (challenge_same(name, size, "scope"))
		place = &r->scope;
	else if (challenge_same(name, size, "error"))
		place = &r->error;
	if (place && !*place)
		*place = STEAL(value);
	free(value);
	return 0;
}

int challenge_add(struct challenge *c, const char *text, size_t size)
{
	struct cursor k = {text, text + size};
	struct reading r = {0};
	int e = 0;

	while (k.at < k.end && e == 0) {
		const char *token;
		size_t n;

		while (k.at < k.end && (*k.at == ',' || *k.at == ' ' || *k.at == '\t'))
			k.at++;
		n = take_token(&k, &token);
		if (n == 0) {
			/* Nothing that begins a challenge or a parameter. */
			if (k.at < k.end)
				k.at++;
			continue;
		}
		skip_space(&k);
		if (next_is(&k, '=')) {
			k.at++;
			skip_space(&k);
			e = take_parameter(&k, &r, token, n);
			continue;
		}
		challenge_finish(c, &r);
		r.bearer = challenge_same(token, n, "Bearer");
		if (challenge_same(token, n, "Basic"))
			c->basic = true;
	}
	challenge_finish(c, &r);
	return e;
}

void challenge_release(struct challenge *c)
{
	free(c->realm);
	free(c->service);
	free(c->scope);
	free(c->error);
	*c = (struct challenge){0};
}
