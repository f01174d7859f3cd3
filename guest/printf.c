// SPDX-License-Identifier: Apache-2.0
/*
 * The C library's printf() to memory and descriptors, as far as the loader uses it: the library's
 * own is a tenth of the loader, most of it for floating point, and a clone is seen to run it for
 * the first time.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct text {
	char *at;
	size_t room;  /* of which the last byte is for the NUL */
	size_t count; /* of all that was put, whether there was room or not */
};

static void printf_put(struct text *t, char c)
{
	if (t->count + 1 < t->room)
		t->at[t->count] = c;
	t->count++;
}

static void printf_put_string(struct text *t, const char *s, size_t max)
{
	for (; max > 0 && *s; max--)
		printf_put(t, *s++);
}

static void printf_put_number(struct text *t, uint64_t n, unsigned int base, char fill, int width)
{
	char digits[24];
	int length = 0;

	do {
		digits[length++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n > 0);
	for (; width > length; width--)
		printf_put(t, fill);
	while (length > 0)
		printf_put(t, digits[--length]);
}

static size_t printf_take_number(const char **fmt)
{
	size_t n = 0;

	for (; **fmt >= '0' && **fmt <= '9'; ++*fmt)
		n = n * 10 + (size_t)(**fmt - '0');
	return n;
}

/* %[0][width][.precision][l|ll|z](c|d|u|x|s|m|%), where a precision may be '*' and is of strings.
 */
int vsnprintf(char *out, size_t size, const char *fmt, va_list args)
{
	struct text t = {.at = out, .room = size};
	int err = errno;

	for (; *fmt; fmt++) {
		size_t precision = SIZE_MAX;
		char fill = ' ';
		int width;
		bool wide = false;
		int64_t n;

		if (*fmt != '%') {
			printf_put(&t, *fmt);
			continue;
		}
		if (*++fmt == '0')
			fill = *fmt++;
		width = (int)printf_take_number(&fmt);
		if (fmt[0] == '.' && fmt[1] == '*') {
			precision = (size_t)va_arg(args, int);
			fmt += 2;
		} else if (fmt[0] == '.') {
			fmt++;
			precision = printf_take_number(&fmt);
		}
		for (; *fmt == 'l' || *fmt == 'z'; fmt++)
			wide = true;
		switch (*fmt) {
		case 'c':
			printf_put(&t, (char)va_arg(args, int));
			break;
		case 's':
			printf_put_string(&t, va_arg(args, const char *), precision);
			break;
		case 'm':
			printf_put_string(&t, strerror(err), SIZE_MAX);
			break;
		case 'd':
			n = wide ? va_arg(args, int64_t) : va_arg(args, int);
			if (n < 0)
				printf_put(&t, '-');
			printf_put_number(&t, n < 0 ? -(uint64_t)n : (uint64_t)n, 10, fill, width);
			break;
		case 'u':
		case 'x':
			printf_put_number(&t,
				wide ? va_arg(args, uint64_t) : va_arg(args, unsigned int),
				*fmt == 'x' ? 16 : 10, fill, width);
			break;
		default:
			printf_put(&t, *fmt);
		}
	}
	if (size > 0)
		out[t.count < size ? t.count : size - 1] = '\0';
	return (int)t.count;
}

int snprintf(char *out, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(out, size, fmt, args);
	va_end(args);
	return n;
}

/* Of a line at most, which is what the loader's are. */
int dprintf(int fd, const char *fmt, ...)
{
	char line[2048];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	return (int)write(fd, line, (size_t)n);
}
