# SPDX-License-Identifier: GPL-3.0-or-later
# meminspect: `make`, `make demo`, `make test`, `make install`; `make help` lists the rest.
#
# Variables: CC, BUILD (folder), SAN=address,undefined (sanitizers), V=1 (show commands),
# PREFIX, DESTDIR. Sources are found by their folder: a new file needs no line here.

BUILD	?= build
PREFIX	?= /usr/local
CC	?= gcc
V	?= 0
Q	:= $(if $(filter 1,$(V)),,@)

PKGS	:= libdw libelf libunwind-ptrace libunwind-generic readline zlib libzstd
CPPFLAGS += -D_GNU_SOURCE -Iinspector -Iinclude $(shell pkg-config --cflags $(PKGS))
CFLAGS	?= -O2 -g
WARN	:= -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-missing-field-initializers
ALLCFLAGS := -std=gnu11 $(WARN) -fno-omit-frame-pointer $(CFLAGS)
LIBS	:= $(shell pkg-config --libs $(PKGS)) -liberty -lpthread -lm -ldl

ifneq ($(SAN),)
comma := ,
BUILD	:= $(BUILD)-$(subst $(comma),-,$(SAN))
ALLCFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all
LDFLAGS	+= -fsanitize=$(SAN)
endif

LAYERS	:= base model target symbol stack heap site snapshot analysis report render command front
SRCS	:= $(foreach l,$(LAYERS),$(sort $(wildcard inspector/$(l)/*.c)))
MAIN	:= inspector/front/main.c
LIBSRCS	:= $(filter-out $(MAIN),$(SRCS))
LIBOBJS	:= $(LIBSRCS:%.c=$(BUILD)/%.o)
LIB	:= $(BUILD)/libmeminspect.a
BIN	:= $(BUILD)/meminspect

UNIT_SRCS := $(sort $(wildcard tests/unit/test_*.c))
UNIT_HELP := $(filter-out $(UNIT_SRCS),$(wildcard tests/unit/*.c))
UNITS	:= $(UNIT_SRCS:%.c=$(BUILD)/%)

.PHONY: all clean unit
all: $(LIB) $(if $(wildcard $(MAIN)),$(BIN))

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@[ $(V) = 1 ] || echo "  CC   $<"
	$(Q)$(CC) $(CPPFLAGS) $(ALLCFLAGS) -fPIC -MMD -MP -c $< -o $@

$(LIB): $(LIBOBJS)
	@[ $(V) = 1 ] || echo "  AR   $@"
	$(Q)rm -f $@; $(AR) rcs $@ $^

$(BIN): $(MAIN:%.c=$(BUILD)/%.o) $(LIB)
	@[ $(V) = 1 ] || echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/tests/unit/test_%: $(BUILD)/tests/unit/test_%.o $(UNIT_HELP:%.c=$(BUILD)/%.o) $(LIB)
	@[ $(V) = 1 ] || echo "  LD   $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

unit: $(UNITS)
	$(Q)rc=0; for t in $(UNITS); do $$t >$$t.log 2>&1 && echo "  ok   $${t##*/}" || { rc=1; cat $$t.log; echo "  FAIL $${t##*/}"; }; done; exit $$rc

# Rebuilds everything when compiler or flags change.
FLAGS_NOW := $(CC) $(CPPFLAGS) $(ALLCFLAGS) $(LDFLAGS)
$(BUILD)/flags: force
	@mkdir -p $(@D)
	@[ "`cat $@ 2>/dev/null`" = '$(FLAGS_NOW)' ] || echo '$(FLAGS_NOW)' > $@
.PHONY: force
force:

clean:
	rm -rf $(BUILD) $(BUILD)-*

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
.SECONDARY:
