#include "tandem/async/context.h"

#include "tandem/base/assert.h"

namespace tandem::async {

constinit thread_local Context* Context::current_ = nullptr;

Context::Context(Context* parent, Inherit inherit) : Context() {
    parent_ = parent;
    if (!parent || inherit == Inherit::values_only) return;
    deadline_ = parent->deadline_;
    if (parent->cancelled()) {
        reason_ = parent->reason_;
        cancelled_.store(true, std::memory_order_release);
    } else {
        parent->add(*this);
    }
}

void Context::cancel(const Error& reason) {
    if (cancelled()) return;
    unhook();
    reason_ = reason;
    cancelled_.store(true, std::memory_order_release);
    while (hooks_.hook_next_ != &hooks_) {
        CancelHook& hook = *hooks_.hook_next_;
        hook.unhook();
        hook.on_cancel(*reason_);
    }
}

void Context::set_raw(const void* key, void* value) {
    for (int i = 0; i < value_count_; ++i) {
        if (values_[i].key == key) {
            values_[i].value = value;
            return;
        }
    }
    TANDEM_ASSERT(value_count_ < max_values, "too many values in one context");
    values_[value_count_++] = {key, value};
}

void* Context::find_raw(const void* key) const noexcept {
    for (const Context* context = this; context; context = context->parent_) {
        for (int i = 0; i < context->value_count_; ++i) {
            if (context->values_[i].key == key) return context->values_[i].value;
        }
    }
    return nullptr;
}

}  // namespace tandem::async
