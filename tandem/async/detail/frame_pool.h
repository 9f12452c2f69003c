// Where coroutine frames come from: per-thread free lists by size class, since frames are made and freed in great
// number and in few sizes. A frame freed on another thread goes to that thread's list. Each list is bounded. Under a
// sanitizer every frame is a plain allocation, so that a use after free is seen.
#pragma once

#include <cstddef>
#include <new>

namespace tandem::async::detail {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TANDEM_PLAIN_FRAMES 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TANDEM_PLAIN_FRAMES 1
#endif

class FramePool {
  public:
    static void* allocate(size_t size) {
#ifndef TANDEM_PLAIN_FRAMES
        const size_t size_class = (size - 1) / granularity;
        if (size_class < classes) {
            if (Node* node = free_[size_class].first) {
                free_[size_class].first = node->next;
                --free_[size_class].count;
                return node;
            }
            return ::operator new((size_class + 1) * granularity);
        }
#endif
        return ::operator new(size);
    }

    static void release(void* frame, [[maybe_unused]] size_t size) noexcept {
#ifndef TANDEM_PLAIN_FRAMES
        const size_t size_class = (size - 1) / granularity;
        if (size_class < classes && free_[size_class].count < frames_per_class && !ended_) {
            // The first frame of a list makes sure that the thread's end finds it; touching a thread_local with a
            // destructor costs a call, so the others do without.
            if (!free_[size_class].first) cleaner_.arm();
            free_[size_class].first = new (frame) Node{free_[size_class].first};
            ++free_[size_class].count;
            return;
        }
#endif
        ::operator delete(frame);
    }

  private:
    static constexpr size_t granularity = 64;
    static constexpr size_t classes = 32;  // frames up to 2 KiB
    static constexpr size_t frames_per_class = 256;

    struct Node {
        Node* next;
    };
    struct List {
        Node* first;
        size_t count;
    };
    // Gives the lists back at the thread's end; frames freed after that are plain again.
    struct Cleaner {
        void arm() const noexcept {}
        ~Cleaner() {
            for (List& list : free_) {
                while (Node* node = list.first) {
                    list.first = node->next;
                    ::operator delete(node);
                }
            }
            ended_ = true;
        }
    };
    // Zero-initialised and trivially destroyed, so that the hot path touches them without a guard.
    static inline constinit thread_local List free_[classes] = {};
    static inline constinit thread_local bool ended_ = false;
    static inline thread_local Cleaner cleaner_;
};

}  // namespace tandem::async::detail
