"""What comes in: routes, authentication, the shapes of bodies, and problems in answer."""
