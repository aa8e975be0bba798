"""One View's chat-ticket API: what the agents of a call centre answer chats with."""
