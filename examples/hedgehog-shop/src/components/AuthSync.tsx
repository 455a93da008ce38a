// As PostHog's documentation for Convex has it, unchanged: https://posthog.com/docs/libraries/convex
import { useEffect } from "react"
import { useQuery } from "convex/react"
import { usePostHog } from "@posthog/react"
import { api } from "../../convex/_generated/api"

export function AuthSync() {
    const posthog = usePostHog()
    const me = useQuery(api.users.currentUser) // your own query

    useEffect(() => {
        if (me?._id) {
            posthog.identify(me._id, { email: me.email, name: me.name })
        }
    }, [me?._id, posthog])

    return null
}
