// SPDX-License-Identifier: Apache-2.0
#include "util/hex.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

static const char digits[] = "0123456789abcdef";

void hex_encode(const void *data, size_t n, char *hex)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < n; i++) {
		hex[2 * i] = digits[bytes[i] >> 4];
		hex[2 * i + 1] = digits[bytes[i] & 15];
	}
	hex[2 * n] = '\0';
}

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit |= 0x20;
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

int hex_decode(const char *hex, void *data, size_t n)
{
	uint8_t *bytes = data;

	for (size_t i = 0; i < n; i++) {
		int high = hex_value(hex[2 * i]);
		int low = high < 0 ? -1 : hex_value(hex[2 * i + 1]);

		if (low < 0)
			return -EINVAL;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int hex_random(char *hex, size_t n)
{
	while (n > 0) {
		uint8_t bytes[32];
		size_t part = n < sizeof(bytes) ? n : sizeof(bytes);

		if (getrandom(bytes, part, 0) != (ssize_t)part)
			return -EIO;
		hex_encode(bytes, part, hex);
		hex += 2 * part;
		n -= part;
	}
	return 0;
}
